# libtorrent for the exchange benchmark: `make CONTENT TORRENT`, `seed TORRENT FOLDER PORT ENCRYPTION`,
# `get TORRENT FOLDER PORT ENCRYPTION SEED_PORT SEED_PID`, ENCRYPTION being rc4 or none. A session talks to the one
# peer that it is told of, over TCP on loopback; it says what happens as JSON lines and ends with its standard input.
import json
import os
import sys
import time

import libtorrent as lt

TICK = 10  # ms, the same as in measure/process.ts


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def mark(event, sender):
    at = time.monotonic_ns() / 1e6
    marked = {"at": at, "sender": cpu(sender), "receiver": cpu(os.getpid())}
    say(event, mark=marked)


def make(content, torrent):
    files = lt.file_storage()
    lt.add_files(files, content)
    # Hashes of version 1 only: with those of version 2 as well, every byte would be hashed twice.
    maker = lt.create_torrent(files, 0, flags=lt.create_torrent.v1_only)
    lt.set_piece_hashes(maker, os.path.dirname(content))
    with open(torrent, "wb") as file:
        file.write(lt.bencode(maker.generate()))


def open_session(torrent, folder, port, encryption):
    policy = 0 if encryption == "rc4" else 2  # pe_forced, pe_disabled
    session = lt.session(
        {
            "listen_interfaces": f"127.0.0.1:{port}",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "in_enc_policy": policy,
            "out_enc_policy": policy,
            "allowed_enc_level": 2,  # pe_rc4
            "prefer_rc4": True,
            "alert_mask": lt.alert.category_t.status_notification
            | lt.alert.category_t.error_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    return session, session.add_torrent(params)


def wait_for(session, kind):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(f"libtorrent: {alert.message()}")
            if isinstance(alert, kind):
                return alert


def seed(torrent, folder, port, encryption):
    session, handle = open_session(torrent, folder, port, encryption)
    # What it has is checked before it counts as a seed, and so before any clock runs.
    wait_for(session, lt.torrent_finished_alert)
    say("ready")
    sys.stdin.read()


def get(torrent, folder, port, encryption, seed_port, seed_pid):
    session, handle = open_session(torrent, folder, port, encryption)
    wait_for(session, lt.torrent_checked_alert)
    say("ready")
    sys.stdin.readline()
    handle.connect_peer(("127.0.0.1", int(seed_port)))
    while handle.status().total_payload_download == 0:
        time.sleep(0.001)
    mark("first", int(seed_pid))
    # Asked now: two peers that both have everything part.
    flags = [peer.flags for peer in handle.get_peer_info()]
    wait_for(session, lt.torrent_finished_alert)
    mark("done", int(seed_pid))
    handle.flush_cache()
    wait_for(session, lt.cache_flushed_alert)
    name = handle.torrent_file().files().file_path(0)
    file = os.open(os.path.join(folder, name), os.O_RDWR)
    os.fsync(file)
    mark("synced", int(seed_pid))
    say("peer", rc4=[bool(one & lt.peer_info.rc4_encrypted) for one in flags])
    sys.stdin.read()


{"make": make, "seed": seed, "get": get}[sys.argv[1]](*sys.argv[2:])
