# libtorrent for the fill benchmark: `make CONTENT TORRENT TRACKER`, or `run TORRENT FOLDER ADDRESS MARK` for a peer that seeds
# when it has all, until it is ended. MARK is a file that appears once it has all.
import os
import sys

import libtorrent as lt


def make(content, torrent, tracker):
    files = lt.file_storage()
    lt.add_files(files, content)
    # Hashes of version 1 only: aria2 knows no others.
    maker = lt.create_torrent(files, 0, flags=lt.create_torrent.v1_only)
    maker.add_tracker(tracker)
    lt.set_piece_hashes(maker, os.path.dirname(content))
    with open(torrent, "wb") as file:
        file.write(lt.bencode(maker.generate()))


def run(torrent, folder, address, mark):
    session = lt.session(
        {
            "listen_interfaces": f"{address}:6881",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "alert_mask": lt.alert.category_t.status_notification
            | lt.alert.category_t.error_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    session.add_torrent(params)
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(f"libtorrent: {alert.message()}")
            if isinstance(alert, lt.torrent_finished_alert):
                open(mark, "w").close()


{"make": make, "run": run}[sys.argv[1]](*sys.argv[2:])
