"""The ledger gives back what was written, also after its writer was killed in the middle of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.chaos.ledger import ROW, Bad, Ledger, Readings, Sensor, Setup, Status, digest_of


def rows(*readings: tuple[int, int, float, int]) -> np.ndarray:
    return np.array(list(readings), ROW)


def filled(path: Path) -> Ledger:
    ledger = Ledger(path)
    assert ledger.last_sequence == 0
    assert [ledger.sensor(Sensor(f"s-{number}", "f", "Humidity")) for number in range(2)] == [0, 1]
    assert ledger.write(Setup("f")) == 1
    assert ledger.write(Status(1, True, 5)) == 2
    assert ledger.write(Readings(rows((0, 10, 1.5, 0), (1, 10, 2.5, 1)))) == 3
    assert ledger.write(Bad("data", "not_json", digest_of(b"?"))) == 4
    assert ledger.write(Readings(rows((1, 11, 3.5, 0)), refused=2)) == 5
    ledger.sent_again(3)
    ledger.accepted(4)
    return ledger


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger")
    found = ledger.read()
    assert found.sensors == [Sensor("s-0", "f", "Humidity"), Sensor("s-1", "f", "Humidity")]
    assert found.setups == [(1, Setup("f"))]
    assert found.statuses == [(2, Status(1, True, 5))]
    assert found.rows.tolist() == [(0, 10, 1.5, 0), (1, 10, 2.5, 1), (1, 11, 3.5, 0)]
    assert found.row_sequences.tolist() == [3, 3, 5]
    assert found.refused == {5: 2}
    assert found.bad == [(4, Bad("data", "not_json", digest_of(b"?")))]
    assert (found.again, found.accepted, found.last_sequence, found.readings_messages) == ({3: 1}, 4, 5, 2)
    assert Ledger(ledger.path).last_sequence == 5


def test_every_way_to_tear_the_last_frame_loses_that_frame_only(tmp_path: Path) -> None:
    whole = filled(tmp_path / "ledger").path.read_bytes()
    torn = Ledger(tmp_path / "torn")
    torn.write(Setup("f"))
    torn.close()
    before = torn.path.read_bytes()
    last = Ledger(tmp_path / "last")
    last.write(Setup("g"))
    frame = last.path.read_bytes()
    for kept in range(len(frame)):
        torn.path.write_bytes(before + frame[:kept])
        again = Ledger(torn.path)
        assert again.read().last_sequence == again.last_sequence == 1
        assert again.write(Setup("h")) == 2
        again.close()
        assert [setup.facility_id for _, setup in Ledger(torn.path).read().setups] == ["f", "h"]
    assert len(whole) > len(frame)


def test_a_reader_in_another_process_follows_the_writer(tmp_path: Path) -> None:
    writer, reader = filled(tmp_path / "ledger"), Ledger(tmp_path / "ledger")
    assert reader.last_sequence == 5
    writer.write(Readings(rows((0, 12, 1.0, 0))))
    assert reader.last_sequence == 6


def test_a_million_readings_are_small(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    many = np.zeros(10, ROW)
    for number in range(100_000):
        many["tracked_at_us"] = number
        ledger.write(Readings(many))
    found = ledger.read()
    assert len(found.rows) == 1_000_000
    assert found.row_sequences[-1] == 100_000
    assert ledger.path.stat().st_size < 25_000_000
