"""Working providers and a stage, as starting points for your own. Each class has the name of its kind, such as
MyTts."""
