"""Public test tools: scripted fakes, strategies and scorers."""
