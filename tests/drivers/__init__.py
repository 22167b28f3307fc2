"""Real drivers of many languages through a pool that has fewer servers than they have clients."""
