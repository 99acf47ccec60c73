import threading

from kinema.diagnosis import Watchdog, stacks_of_this_process
from kinema.diagnosis.watchdog import POLLS, _size


def test_the_stacks_of_other_threads_are_shown_with_their_names():
    done = threading.Event()

    def wait_for_the_end():
        done.wait()

    thread = threading.Thread(target=wait_for_the_end, name="the waiting one")
    thread.start()
    try:
        text = stacks_of_this_process()
    finally:
        done.set()
        thread.join()
    assert "-- thread the waiting one, most recent call last" in text
    assert "in wait_for_the_end" in text
    assert "in stacks_of_this_process" not in text


class Looks:
    """The watchdog looks at once instead of after a while; just before every ninth of its looks there is progress."""

    def __init__(self, watchdog, progress):
        self.progress, self.count, self.done = progress, 0, threading.Event()
        watchdog._ended = self

    def wait(self, seconds):
        if self.count == 100:
            self.done.set()
            return True
        self.count += 1
        if self.count % (POLLS - 1) == 0:
            self.progress(self.count)
        return False

    def set(self):
        assert self.done.wait(300), "it ended the process, or looks no more"


def test_a_watchdog_leaves_a_process_that_works_alone_and_no_file(tmp_path):
    watchdog = Watchdog(50, tmp_path / "hang.txt")
    looks = Looks(watchdog, lambda number: watchdog.note(f"step {number}"))
    with watchdog:
        pass
    assert looks.count == 100
    assert not list(tmp_path.iterdir())
    assert not watchdog._thread.is_alive()


def test_a_watchdog_ends_a_process_after_ten_looks_without_progress(tmp_path, monkeypatch):
    watchdog, ends = Watchdog(50, tmp_path / "hang.txt"), []
    monkeypatch.setattr(watchdog, "_end", lambda: ends.append(looks.count))
    looks = Looks(watchdog, lambda number: None)
    with watchdog:
        pass
    assert ends[0] == POLLS


def test_a_checkpoint_that_grows_is_progress(tmp_path):
    folder = tmp_path / "checkpoints"
    (folder / "step_1").mkdir(parents=True)
    assert _size(folder) == _size(tmp_path / "nothing") + _size(folder)
    before = _size(folder)

    def grow(number):
        with (folder / "step_1" / "model.safetensors").open("ab") as file:
            file.write(bytes(100))

    watchdog = Watchdog(50, tmp_path / "hang.txt", growing=folder)
    looks = Looks(watchdog, grow)
    with watchdog:
        pass
    assert looks.count == 100
    assert _size(folder) == before + 100 * (100 // (POLLS - 1))
