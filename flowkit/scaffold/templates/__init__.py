"""Providers and a stage that work as they are, to be changed into what is wanted. Each class is called after its kind, as MyTts."""
