"""Keeps each packet for a while: `delay.py DEVICE MILLISECONDS`. What the kernel routes into the TUN device comes out of it again, in
order and that much later. Says one line when the device is there."""
import collections, fcntl, os, select, struct, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

name, wait = sys.argv[1].encode(), float(sys.argv[2]) / 1000
device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI))
print("there", flush=True)

kept = collections.deque()
poll = select.poll()
poll.register(device, select.POLLIN)
while True:
    rest = max(0, kept[0][0] - time.monotonic()) if kept else None
    # Whole milliseconds are too coarse for poll: what is almost due is waited for by looking again.
    poll.poll(None if rest is None else int(rest * 1000))
    now = time.monotonic()
    try:
        while True:
            kept.append((now + wait, os.read(device, 65536)))
    except BlockingIOError:
        pass
    now = time.monotonic()
    while kept and kept[0][0] <= now:
        try:
            os.write(device, kept.popleft()[1])
        except OSError:
            pass  # A packet for somebody who has gone.
