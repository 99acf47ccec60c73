"""A small RTSP server on this machine, as cameras have them: H.264 in RTP packets inside the TCP connection."""

import socket
import threading
import time
from contextlib import suppress

import av

SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    b"m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:video\r\n"
)


class RtspServer:
    """Films from its start on; who plays gets what is filmed now. One client at a time.

    Attributes:
        port: on 127.0.0.1.
        requests: first line and headers of each request so far.
    """

    def __init__(self, draw, size):
        self._draw, self._size = draw, size
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._packets.bind(("127.0.0.1", 0))
        self.requests = []
        self._client = None
        self._is_closed = False
        self._threads = [threading.Thread(target=work) for work in (self._film, self._forward, self._accept)]
        for thread in self._threads:
            thread.start()

    def cut(self):
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def close(self):
        self._is_closed = True
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._packets.close()

    def _film(self):
        start = time.monotonic()
        address = f"rtp://127.0.0.1:{self._packets.getsockname()[1]}"
        with av.open(address, "w", format="rtp") as container:
            options = {"preset": "ultrafast", "tune": "zerolatency", "g": "25"}
            stream = container.add_stream("libx264", rate=25, options=options)
            (stream.width, stream.height), stream.pix_fmt = self._size, "yuv420p"
            number = 0
            while not self._is_closed:
                time.sleep(max(0.0, start + number / 25 - time.monotonic()))
                frame = av.VideoFrame.from_ndarray(self._draw(number), format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
                number += 1

    def _forward(self):
        self._packets.settimeout(0.2)
        while not self._is_closed:
            with suppress(OSError):  # none came, or the client went away
                packet = self._packets.recv(65536)
                if self._client is not None:
                    self._client.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    def _accept(self):
        while not self._is_closed:
            with suppress(OSError):
                client, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._talk, args=(client,)))
                self._threads[-1].start()

    def _talk(self, client):
        with suppress(OSError), client.makefile("rb") as lines:
            while request := lines.readline():
                headers = {}
                while line := lines.readline().strip():
                    name, _, value = line.partition(b":")
                    headers[name.lower()] = value.strip()
                self.requests.append((request, headers))
                method = request.split()[0]
                answer = [b"RTSP/1.0 200 OK", b"CSeq: " + headers[b"cseq"], b"Session: 1"]
                body = SDP if method == b"DESCRIBE" else b""
                if method == b"SETUP":
                    answer.append(b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
                if body:
                    answer += [b"Content-Type: application/sdp", b"Content-Length: %d" % len(body)]
                client.sendall(b"\r\n".join(answer) + b"\r\n\r\n" + body)
                if method == b"PLAY":
                    self._client = client
