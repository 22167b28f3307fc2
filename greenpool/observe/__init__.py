"""What operators see of greenpool: its log."""
