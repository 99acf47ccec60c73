"""Bits of headers, against a slow reading of them bit by bit."""

import random

from kinema.video.bitstream import Bits


class SlowBits:
    """The same from a text of zeros and ones, by the definition of ITU-T H.264, 9.1."""

    def __init__(self, data: bytes) -> None:
        self._digits = "".join(f"{byte:08b}" for byte in data)

    def take(self, count: int) -> int:
        digits, self._digits = self._digits[:count], self._digits[count:]
        return int(digits.ljust(count, "0") or "0", 2)

    def take_exp_golomb(self) -> int:
        zeros = 0
        while self._digits and self.take(1) == 0:
            zeros += 1
        return 2**zeros - 1 + self.take(zeros)


def test_numbers_are_those_of_a_reading_bit_by_bit() -> None:
    chance = random.Random(0)
    for _ in range(3000):
        data = bytes(chance.choice([0, 0, 1, chance.randrange(256)]) for _ in range(chance.randrange(9)))
        bits, slow = Bits(data), SlowBits(data)
        for _ in range(12):
            count = chance.randrange(-1, 17)
            if count < 0:
                assert bits.take_exp_golomb() == slow.take_exp_golomb()
            else:
                assert bits.take(count) == slow.take(count)
