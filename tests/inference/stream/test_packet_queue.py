import threading

from av.packet import Packet

from kinema.inference.stream.packet_queue import Closed, Opened, PacketQueue, Received


class Clock:
    """Stands still until it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def entries(queue):
    queue.end()
    taken = []
    while (entry := queue.get()) is not None:
        taken.append(entry)
    return taken


def test_packets_that_waited_too_long_give_way_together_and_the_next_knows():
    clock = Clock()
    queue = PacketQueue(2.0, most_bytes=1000, drops=True, clock=clock)
    queue.open("connection", "")
    for clock.seconds in (0.0, 1.0, 2.0, 3.0, 4.0):
        queue.put(Packet(b"x" * 10))
    queue.close()
    opened, *received, closed = entries(queue)
    assert opened == Opened("connection", "")
    assert [(entry.received, entry.follows_loss) for entry in received] == [(3.0, True), (4.0, False)]
    assert closed == Closed()
    assert queue.num_dropped == 3


def test_bytes_are_a_bound_too():
    queue = PacketQueue(60.0, most_bytes=100, drops=True, clock=Clock())
    for _ in range(4):
        queue.put(Packet(b"x" * 60))
    assert [entry.follows_loss for entry in entries(queue)] == [True, False]
    assert queue.num_dropped == 2


def test_where_nothing_drops_reading_waits():
    queue = PacketQueue(0.0, most_bytes=100, drops=False)
    source = threading.Thread(target=lambda: [queue.put(Packet(b"x" * 60)) for _ in range(50)] and queue.end())
    source.start()
    count = 0
    while queue.get() is not None:
        count += 1
    source.join()
    assert (count, queue.num_dropped) == (50, 0)


def test_a_reader_that_waits_is_freed_at_the_end():
    queue = PacketQueue(0.0, most_bytes=10, drops=False)
    source = threading.Thread(target=lambda: [queue.put(Packet(b"x" * 60)) for _ in range(3)])
    source.start()
    queue.end()
    source.join(300)
    assert not source.is_alive()
    assert all(isinstance(entry, Received) for entry in entries(queue))
