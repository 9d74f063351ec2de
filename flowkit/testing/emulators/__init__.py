"""Emulators of the cloud providers on loopback: to develop without keys, and to test against every fault.

They speak the providers' wire protocols on another stack than the providers of flowkit do (trio-websocket and h11), so that
no mistake is shared. Faults are chosen by API key or by model (``fault:close_1011``), so that an unmodified SDK meets them.

    with running(CartesiaEmulator()) as emulator:
        options = Cartesia.Options(voice="any", api_key="any", base_url=emulator.ws_url)
"""

from flowkit.testing.emulators.assemblyai import AssemblyAIEmulator
from flowkit.testing.emulators.cartesia import CartesiaEmulator
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.groq import GroqEmulator
from flowkit.testing.emulators.server import Emulator, Seen, running

EMULATORS: dict[str, type[Emulator]] = {
    "assemblyai": AssemblyAIEmulator,
    "groq": GroqEmulator,
    "cartesia": CartesiaEmulator,
}

__all__ = [
    "EMULATORS",
    "AssemblyAIEmulator",
    "CartesiaEmulator",
    "Emulator",
    "GroqEmulator",
    "Seen",
    "ServerFault",
    "running",
]
