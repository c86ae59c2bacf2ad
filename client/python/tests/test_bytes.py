"""Compares the codec with the bytes that all of Countree is checked against."""

import json
import pathlib
import unittest

from countree import wire

GOLDEN = pathlib.Path(__file__).parents[3] / "docs" / "protocol-bytes.txt"
FORMS = {
    "Hello": wire.HELLO_BODY,
    "Refusal": wire.REFUSAL_BODY,
    "ToLeaf": wire.TO_LEAF,
    "FromLeaf": wire.FROM_LEAF,
    "ToBroadcast": wire.TO_BROADCAST,
    "FromBroadcast": wire.FROM_BROADCAST,
}


def golden():
    """Yields (section, value, bytes) of each sample."""
    section = None
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("["):
            if " = " not in line:
                section = line[1:].split("]")[0].split(":")[0]
                continue
        if " = " in line:
            value, data = line.rsplit(" = ", 1)
            yield section, json.loads(value), bytes.fromhex(data)


class Bytes(unittest.TestCase):
    def test_every_message_of_a_client_reads_and_writes_as_pinned(self):
        seen = set()
        for section, value, data in golden():
            if section in FORMS:
                seen.add(section)
                self.assertEqual(wire.decode(FORMS[section], data), value)
                self.assertEqual(wire.encode(FORMS[section], value), data)
        self.assertEqual(seen, FORMS.keys())

    def test_a_batch_is_written_as_pinned(self):
        """Checks the samples that forget all names first: others need a connection's memory."""
        batches = [(value, data) for section, value, data in golden() if section == "Batch" and value[1]]
        self.assertTrue(batches)
        for (seq, _, names, events), data in batches:
            events = [(tuple(names[id]), delta) for id, delta in events]
            self.assertEqual(wire.batch(seq, events), data)

    def test_what_is_cut_off_is_refused(self):
        for section, _, data in golden():
            if section in FORMS:
                for end in range(len(data)):
                    with self.assertRaises((wire.Malformed, UnicodeDecodeError)):
                        wire.decode(FORMS[section], data[:end])


if __name__ == "__main__":
    unittest.main()
