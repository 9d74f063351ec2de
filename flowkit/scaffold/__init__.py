"""What ``flowkit new provider`` and ``flowkit new stage`` write: `templates` are modules that work as they are; `write` copies one
under the names that were asked for, with what makes a package of it."""
