"""A voice in a process of its own: `parent` is this side, `child` the other, `wire` what they say to each other."""
