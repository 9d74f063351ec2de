"""Emulators of the cloud providers' APIs on loopback, to develop without keys and to test how clients handle faults.

They implement the wire protocols with other libraries (trio-websocket and h11) than flowkit's providers, so that the
two share no mistakes. A client selects a fault by its API key or its model (``fault:close_1011``), so that unmodified
SDKs can be tested too.

    with running(CartesiaEmulator()) as emulator:
        options = Cartesia.Options(voice="any", api_key="any", base_url=emulator.ws_url)
"""

from flowkit.testing.emulators.assemblyai import AssemblyAIEmulator
from flowkit.testing.emulators.calls import ChatCall, ChatReply
from flowkit.testing.emulators.cartesia import CartesiaEmulator
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.groq import GroqEmulator
from flowkit.testing.emulators.server import Emulator, Seen, running
from flowkit.testing.emulators.speech import SpeechEmulator

EMULATORS: dict[str, type[Emulator]] = {
    "assemblyai": AssemblyAIEmulator,
    "groq": GroqEmulator,
    "cartesia": CartesiaEmulator,
    "speech": SpeechEmulator,
}

__all__ = [
    "EMULATORS",
    "AssemblyAIEmulator",
    "CartesiaEmulator",
    "ChatCall",
    "ChatReply",
    "Emulator",
    "GroqEmulator",
    "Seen",
    "ServerFault",
    "SpeechEmulator",
    "running",
]
