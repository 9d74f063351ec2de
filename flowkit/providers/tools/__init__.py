"""Who runs tools: Python functions, HTTP requests, servers of the Model Context Protocol."""
