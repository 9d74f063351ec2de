"""Servers of the Model Context Protocol, through its official SDK, which runs under Trio by way of anyio.

`server` is what the sessions of a host share. It starts a connection again when it has ended. A `connection` is one run of
the SDK's client over `pipes` to a program, or over `http`. The SDK is imported only where a pipeline names a server.
https://modelcontextprotocol.io/specification
"""
