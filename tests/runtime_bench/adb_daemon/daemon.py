"""The server: connections, the handshake, and streams within a connection."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable

from .wire import (
    AUTH_PUBLIC_KEY,
    AUTH_TOKEN,
    MAXIMUM_PAYLOAD,
    VERSION,
    Message,
    encode,
    read_message,
)

Service = Callable[[str, "Stream"], None]


class StreamClosed(Exception):
    """The other end closed the stream, or the cable is out."""


class Stream:
    """One service that the client opened: bytes in, bytes out, each message acknowledged."""

    def __init__(self, connection: "Connection", own: int, other: int) -> None:
        self._connection, self._own, self._other = connection, own, other
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._acknowledged = threading.Semaphore(0)
        self._writing = threading.Lock()
        self._buffer = b""
        self.closed = threading.Event()

    def read_some(self) -> bytes:
        """What came next; raises StreamClosed at the end."""
        if self._buffer:
            content, self._buffer = self._buffer, b""
            return content
        chunk = self._incoming.get()
        if chunk is None:
            self._incoming.put(None)
            raise StreamClosed
        self._connection.send(Message("OKAY", self._own, self._other))
        return chunk

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; raises StreamClosed at the end."""
        content = b""
        while len(content) < size:
            content += self.read_some()
        content, self._buffer = content[:size], content[size:]
        return content

    def write(self, content: bytes) -> None:
        """Send ``content`` and wait until the client has taken it."""
        with self._writing:
            for start in range(0, len(content), MAXIMUM_PAYLOAD):
                if self.closed.is_set():
                    raise StreamClosed
                payload = content[start : start + MAXIMUM_PAYLOAD]
                self._connection.send(Message("WRTE", self._own, self._other, payload))
                self._acknowledged.acquire()
                if self.closed.is_set():
                    raise StreamClosed

    def close(self) -> None:
        if not self.closed.is_set():
            self.end()
            with contextlib.suppress(StreamClosed):
                self._connection.send(Message("CLSE", self._own, self._other))

    def take(self, message: Message) -> None:
        """What the connection read for this stream."""
        if message.name == "WRTE":
            self._incoming.put(message.payload)
        elif message.name == "OKAY":
            self._acknowledged.release()
        elif message.name == "CLSE":
            self.end()

    def end(self) -> None:
        self.closed.set()
        self._incoming.put(None)
        self._acknowledged.release()


class Connection:
    """One adb server that is connected."""

    def __init__(self, link: socket.socket, daemon: "Daemon") -> None:
        self._link, self._daemon = link, daemon
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}

    def send(self, message: Message) -> None:
        with self._sending:
            try:
                self._link.sendall(encode(message))
            except OSError:
                raise StreamClosed from None

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        with self._link, contextlib.suppress(StreamClosed):
            while (message := read_message(self._link)) is not None:
                self._answer(message)
        for stream in list(self._streams.values()):
            stream.end()

    def _answer(self, message: Message) -> None:
        if message.name == "CNXN" and not self._daemon.authorized:
            self.send(Message("AUTH", AUTH_TOKEN, 0, b"\x07" * 20))
        elif message.name == "CNXN":
            self.send(Message("CNXN", VERSION, MAXIMUM_PAYLOAD, self._daemon.banner))
        elif message.name == "AUTH" and message.first != AUTH_PUBLIC_KEY:
            self.send(Message("AUTH", AUTH_TOKEN, 0, b"\x07" * 20))
        elif message.name == "OPEN":
            self._open(message)
        elif message.second in self._streams:
            self._streams[message.second].take(message)

    def _open(self, message: Message) -> None:
        own = max(self._streams, default=0) + 1
        stream = Stream(self, own, message.first)
        self._streams[own] = stream
        self.send(Message("OKAY", own, message.first))
        name = message.payload.rstrip(b"\0").decode()
        threading.Thread(target=self._serve, args=(name, stream), daemon=True).start()

    def _serve(self, name: str, stream: Stream) -> None:
        with contextlib.suppress(StreamClosed):
            self._daemon.service(name, stream)
        stream.close()


class Daemon:
    """Listens on a loopback port; ``service(name, stream)`` serves what a client opens."""

    def __init__(self, service: Service, banner: bytes) -> None:
        self.service, self.banner = service, banner
        self.authorized = True
        self._connections: list[Connection] = []
        self._listener = _listen()
        self.port: int = self._listener.getsockname()[1]
        self._accepting = self._accept_on(self._listener)

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def listening(self) -> bool:
        return self._listener.fileno() >= 0

    def unplug(self) -> None:
        """Pull the cable: every connection ends, and new ones are refused."""
        self._stop_listening()
        for connection in self._connections:
            connection.cut()

    def plug_in(self) -> None:
        self._connections.clear()
        self._listener = _listen(self.port)
        self._accepting = self._accept_on(self._listener)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
        self._listener.close()
        if self._accepting is not threading.current_thread():
            self._accepting.join()

    def _accept_on(self, listener: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(link, self)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()


def _listen(port: int = 0) -> socket.socket:
    """A listening socket; never on a port that adb takes for an emulator's (5554 to 5585)."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        if port or not 5554 <= listener.getsockname()[1] <= 5585:
            listener.listen()
            return listener
        listener.close()
