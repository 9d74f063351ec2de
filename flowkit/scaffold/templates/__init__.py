"""Providers and a stage that work as they are, to be changed into what is wanted. Each is called Mine."""
