"""`greenpool top`: a live view of workers, databases, pools and who waits.

    console -> reading; two readings -> picture -> lines -> the screen (curses), or printed, or JSON

curses is Python's own: the view is lines of text, and a library for more would be a dependency.
"""
