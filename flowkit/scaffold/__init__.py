"""The packages that ``flowkit new provider`` and ``flowkit new stage`` write.

`templates` are working modules. `write` copies one under a new name, with the files that make a package of it.
"""
