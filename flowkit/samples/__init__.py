"""What the pipelines that ship with flowkit use."""
