"""Running a session again without threads, sockets or sleep: ``heap`` is the pump."""
