"""Results made readable: ``plain`` for any terminal or pipe."""
