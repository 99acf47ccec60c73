import threading
import time

from kinema.diagnosis import Watchdog, stacks_of_this_process
from kinema.diagnosis.watchdog import _size


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


def test_a_watchdog_leaves_a_process_that_works_alone_and_no_file(tmp_path):
    with Watchdog(2, tmp_path / "hang.txt") as watchdog:
        for number in range(50):
            time.sleep(0.05)
            watchdog.note(f"step {number}")
    assert not list(tmp_path.iterdir())
    assert not watchdog._thread.is_alive()


def test_a_checkpoint_that_grows_is_progress(tmp_path):
    folder = tmp_path / "checkpoints"
    (folder / "step_1").mkdir(parents=True)
    assert _size(folder) == _size(tmp_path / "nothing") + _size(folder)
    before = _size(folder)
    with Watchdog(2, tmp_path / "hang.txt", growing=folder):
        for _ in range(50):
            time.sleep(0.05)
            with (folder / "step_1" / "model.safetensors").open("ab") as file:
                file.write(bytes(100))
    assert _size(folder) >= before + 5000
