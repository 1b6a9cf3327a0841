# libtorrent for the stream benchmark: `make FOLDER TORRENT TRACKER`, or `box ORDER` for a client that seeds some titles and gives
# the others to a player over HTTP, sequentially, from when that first asks. ORDER is JSON; see torrent.ts.
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

import libtorrent as lt

LOOK = 0.01
# What the player waits for comes first, then what follows it in the same rendition.
WAITED, NEXT = 7, 4


def make(folder, torrent, tracker):
    files = lt.file_storage()
    lt.add_files(files, folder)
    maker = lt.create_torrent(files, 0, flags=lt.create_torrent.v1_only)
    maker.add_tracker(tracker)
    lt.set_piece_hashes(maker, os.path.dirname(folder))
    with open(torrent, "wb") as file:
        file.write(lt.bencode(maker.generate()))


class Title:
    """A torrent on one box. What it seeds it has whole; all else is got when a player asks for it."""

    def __init__(self, session, torrent, folder, seeds):
        self.info = lt.torrent_info(torrent)
        self.folder = folder
        self.seeds = seeds
        self.session = session
        self.lock = threading.Lock()
        self.handle = self.add() if seeds else None

    def add(self):
        params = lt.add_torrent_params()
        params.ti = self.info
        params.save_path = self.folder
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        if self.seeds:
            params.flags |= lt.torrent_flags.seed_mode
        else:
            params.flags |= lt.torrent_flags.sequential_download
            params.file_priorities = [0] * self.info.num_files()
        return self.session.add_torrent(params)

    def find(self, path):
        files = self.info.files()
        wanted = os.path.join(files.name(), path)
        for index in range(files.num_files()):
            if files.file_path(index) == wanted:
                return index
        return None

    def want(self, index):
        if self.seeds:
            return
        files = self.info.files()
        with self.lock:
            if self.handle is None:
                self.handle = self.add()
            folder = os.path.dirname(files.file_path(index))
            for other in range(index, files.num_files()):
                if os.path.dirname(files.file_path(other)) == folder:
                    self.handle.file_priority(other, WAITED if other == index else NEXT)
            first, last = self.pieces(index)
            for i, piece in enumerate(range(first, last + 1)):
                self.handle.set_piece_deadline(piece, i * 10)

    def pieces(self, index):
        files = self.info.files()
        size = files.file_size(index)
        first = self.info.map_file(index, 0, 1).piece
        last = self.info.map_file(index, max(0, size - 1), 1).piece
        return first, last

    def read(self, index):
        """Gives the file's bytes as its pieces come."""
        files = self.info.files()
        size = files.file_size(index)
        offset = files.file_offset(index)
        length = self.info.piece_length()
        path = os.path.join(self.folder, files.file_path(index))
        at = 0
        while at < size:
            piece = (offset + at) // length
            while not self.seeds and not self.handle.have_piece(piece):
                time.sleep(LOOK)
            end = min(size, (piece + 1) * length - offset)
            with open(path, "rb") as file:
                file.seek(at)
                yield file.read(end - at)
            at = end


def box(order):
    order = json.loads(order)
    session = lt.session(
        {
            "listen_interfaces": f"{order['address']}:6881",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            # A client that has all that its player wanted so far will want more.
            "close_redundant_connections": False,
            "min_reconnect_time": 1,
        }
    )
    titles = {
        title["name"]: Title(session, title["torrent"], title["folder"], title["seeds"])
        for title in order["titles"]
    }

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            name, _, path = urllib.parse.unquote(self.path[1:]).partition("/")
            title = titles.get(name)
            index = title.find(path) if title else None
            if index is None:
                self.send_error(404)
                return
            title.want(index)
            self.send_response(200)
            self.send_header("Content-Length", str(title.info.files().file_size(index)))
            self.end_headers()
            try:
                for part in title.read(index):
                    self.wfile.write(part)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", order["port"]), Answer)
    open(order["mark"], "w").close()
    server.serve_forever()


{"make": make, "box": box}[sys.argv[1]](*sys.argv[2:])
