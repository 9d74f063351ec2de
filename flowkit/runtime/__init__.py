"""A live session: ``session`` loads providers and runs ``pump``, which drives the engine; ``calls`` are its provider calls,
``watchdog`` reports whatever holds the loop up."""
