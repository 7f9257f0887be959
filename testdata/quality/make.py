#!/usr/bin/env python3
"""Makes the captures of this directory, and the figures that tshark gives for them.

Each case is one call with faults of its own: loss, order, copies, jitter, silences, keys, new sources. The captures
depend on nothing but this file; `expected.json` is what `tshark -q -z rtp,streams` prints of each, and what its RTCP
dissector says. Run it where tshark is, and look at what has changed.
"""

import json
import pathlib
import random
import struct
import subprocess
import sys

CALLER, CALLEE = (bytes([192, 0, 2, 10]), 40000), (bytes([192, 0, 2, 20]), 50000)
NTP = 2208988800
START = 1_700_000_000.0


def name(address):
    return ".".join(str(byte) for byte in address)


def frame(time, source, destination, payload):
    udp = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + source[0] + destination[0]
    total = sum(struct.unpack(">10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack(">H", ~total & 0xFFFF) + ip[12:]
    return time, bytes(12) + b"\x08\x00" + ip + udp


def sip(time, source, destination, start, method, body="", cseq=1):
    head = [
        start,
        f"Via: SIP/2.0/UDP {name(CALLER[0])}:5060;branch=z9hG4bK{method}{cseq}",
        f"From: <sip:alice@{name(CALLER[0])}>;tag=a",
        f"To: <sip:bob@{name(CALLEE[0])}>" + ("" if start.startswith("INVITE") else ";tag=b"),
        "Call-ID: quality@example.com",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:{name(source[0])}>",
    ]
    head += ["Content-Type: application/sdp"] if body else []
    text = "\r\n".join([*head, f"Content-Length: {len(body)}", "", body])
    return frame(time, (source[0], 5060), (destination[0], 5060), text.encode())


def sdp(endpoint, formats, flow="sendrecv"):
    lines = ["v=0", f"o=- 1 1 IN IP4 {name(endpoint[0])}", "s=-", f"c=IN IP4 {name(endpoint[0])}", "t=0 0"]
    lines.append(f"m=audio {endpoint[1]} RTP/AVP " + " ".join(str(number) for number in formats))
    lines += [f"a=rtpmap:{number} {text}" for number, text in formats.items() if text]
    return "\r\n".join([*lines, f"a={flow}", ""])


def call(length, formats):
    """The signalling around `length` seconds of media that begins at 1 s."""
    uri = f"sip:bob@{name(CALLEE[0])}"
    return [
        sip(0.0, CALLER, CALLEE, f"INVITE {uri} SIP/2.0", "INVITE", sdp(CALLER, formats)),
        sip(0.1, CALLEE, CALLER, "SIP/2.0 180 Ringing", "INVITE"),
        sip(0.9, CALLEE, CALLER, "SIP/2.0 200 OK", "INVITE", sdp(CALLEE, formats)),
        sip(0.95, CALLER, CALLEE, f"ACK {uri} SIP/2.0", "ACK"),
        sip(length + 1.5, CALLER, CALLEE, f"BYE {uri} SIP/2.0", "BYE", cseq=2),
        sip(length + 1.6, CALLEE, CALLER, "SIP/2.0 200 OK", "BYE", cseq=2),
    ]


class Sender:
    """One direction of the media. A packet is due each `frame` seconds; `delay` tells how late each is."""

    def __init__(self, ends, ssrc, kind, clock=8000, sequence=0, timestamp=0, frame=0.02, size=20):
        self.ends, self.ssrc, self.kind, self.clock = ends, ssrc, kind, clock
        self.sequence, self.timestamp, self.frame, self.size = sequence, timestamp, frame, size
        self.due, self.packets = 1.0, []

    def send(self, late=0.0, lost=False, copies=1, marker=False, kind=None, timestamp=None, payload=None):
        kind = self.kind if kind is None else kind
        timestamp = self.timestamp if timestamp is None else timestamp
        payload = bytes(self.size) if payload is None else payload
        head = struct.pack(">BBHII", 0x80, marker << 7 | kind, self.sequence, timestamp % 2**32, self.ssrc)
        for copy in range(0 if lost else copies):
            self.packets.append(frame(self.due + late + copy * 0.0004, *self.ends, head + payload))
        self.sequence = (self.sequence + 1) % 65536
        self.step()

    def step(self, seconds=None):
        """Time goes on by so much, media time with it; by one packet's worth when it is not said."""
        seconds = self.frame if seconds is None else seconds
        self.due += seconds
        self.timestamp += round(seconds * self.clock)


def both(kind, **settings):
    out = Sender((CALLER, CALLEE), 0x11111111, kind, **settings)
    back = Sender((CALLEE, CALLER), 0x22222222, kind, **settings)
    return out, back


G729 = {18: "G729/8000"}


def loss(dice):
    """Random loss one way, loss in bursts the other; the sequence number wraps, and the timestamp."""
    out, back = both(18, sequence=65400, timestamp=2**32 - 20000)
    for step in range(500):
        out.send(late=dice.uniform(0, 0.004), lost=step > 0 and dice.random() < 0.05)
        back.send(late=dice.uniform(0, 0.004), lost=step in range(100, 104) or step in range(106, 109) or step == 300)
    return call(10, G729), [out, back]


def order(dice):
    """Packets overtake each other and come twice; the delay of some is that of others behind them."""
    out, back = both(18, sequence=100)
    for step in range(500):
        out.send(late=0.03 if step % 23 == 5 else dice.uniform(0, 0.002))
        back.send(late=dice.uniform(0, 0.002), copies=2 if step % 17 == 3 else 1)
    return call(10, G729), [out, back]


def jitter(dice):
    """Much jitter one way; the other has spikes of a tenth of a second that drain, as behind a full queue."""
    out, back = both(18)
    spike = 0.0
    for step in range(700):
        out.send(late=min(dice.expovariate(1 / 0.008), 0.019))
        spike = 0.12 if step % 150 == 140 else max(0.0, spike - 0.0195)
        back.send(late=spike)
    return call(14, G729), [out, back]


def silence(_):
    """Talkspurts that begin with a marker; silences without packets one way, with comfort noise the other."""
    out, back = both(18)
    noise = Sender.send
    for spurt in range(6):
        for step in range(60):
            out.send(late=0.001 * (step % 3), marker=step == 0)
            back.send(late=0.001 * (step % 4), marker=step == 0)
        for _ in range(4):
            out.step(0.2)
            noise(back, kind=13, payload=b"\x40")
            back.step(0.18)
    return call(13, {**G729, 13: None}), [out, back]


def keys(_):
    """Keys between the voice, with all packets of an event at its timestamp, its end three times."""
    out, back = both(18)
    for step in range(500):
        back.send(late=0.0005 * (step % 2))
        if step % 100 == 50:
            begun = out.timestamp
            for part in range(8):
                ends = part >= 5
                event = struct.pack(">BBH", step // 100, ends << 7 | 10, 160 * min(part + 1, 6))
                out.send(kind=101, marker=part == 0, timestamp=begun, payload=event)
        elif step % 100 not in range(51, 58):
            out.send(late=0.0005 * (step % 2))
    return call(10, {**G729, 101: "telephone-event/8000"}), [out, back]


def clocks(dice):
    """Opus at 48 kHz one way, AMR-WB at 16 kHz the other, in packets of 40 ms."""
    out = Sender((CALLER, CALLEE), 0x11111111, 111, clock=48000, timestamp=77, size=60)
    back = Sender((CALLEE, CALLER), 0x22222222, 112, clock=16000, timestamp=77, frame=0.04, size=60)
    for _ in range(400):
        out.send(late=dice.uniform(0, 0.006))
    for _ in range(200):
        back.send(late=dice.uniform(0, 0.01))
    return call(8, {111: "opus/48000/2", 112: "AMR-WB/16000"}), [out, back]


def sources(_):
    """One way a new source takes over, as after a transfer; the other way the numbers begin anew."""
    out, back = both(18, sequence=1000)
    second = Sender((CALLER, CALLEE), 0x33333333, 18, sequence=9, timestamp=5)
    for step in range(200):
        out.send(late=0.001 * (step % 3))
        if step == 100:
            back.sequence = 40000
        back.send(late=0.001 * (step % 3))
    second.due = out.due
    for step in range(200):
        second.send(late=0.001 * (step % 3))
    return call(8, G729), [out, second, back]


def rtcp(dice):
    """Reports of both sides with round trips of 30 ms to the caller and 90 ms to the callee, and VoIP metrics."""
    signalling, senders = loss(dice)
    out, back = senders
    extra, heard = [], {}
    for number, (sender, peer, due, wait) in enumerate(
        [(out, back, 2.0, 0), (back, out, 3.0, 0.5), (out, back, 6.0, 1.25), (back, out, 7.0, 2.0)]
    ):
        clock = START + due + NTP + (0.25 if sender is back else 0)
        middle = int(clock * 65536) & 0xFFFFFFFF
        blocks, count = b"", 0
        if peer.ssrc in heard:
            last, at = heard[peer.ssrc]
            trip = 0.03 if sender is out else 0.09
            held = int((due - at - trip) * 65536)
            count = 1
            blocks = struct.pack(">IIIIII", peer.ssrc, 13 << 24 | 7 + number, 65900, 40 + number, last, held)
        body = struct.pack(">IIIIII", sender.ssrc, middle >> 16 | int(clock) & 0xFFFF0000, middle << 16 & 0xFFFFFFFF, 0, 50, 1000) + blocks
        packet = struct.pack(">BBH", 0x80 | count, 200, len(body) // 4) + body
        packet += struct.pack(">BBHI", 0x81, 202, 3, sender.ssrc) + b"\x01\x03c0a\x00\x00\x00"
        if number == 3:
            metrics = struct.pack(">BBHI4B4H8B2B3H", 7, 0, 8, peer.ssrc, 13, 5, 64, 2, 120, 4880, 121, 70, 226, 196, 55, 16, 81, 127, 41, 39, 0xB7, 0, 60, 120, 200)
            packet += struct.pack(">BBHI", 0x80, 207, 1 + len(metrics) // 4, sender.ssrc) + metrics
        source, destination = sender.ends
        extra.append(frame(due, (source[0], source[1] + 1), (destination[0], destination[1] + 1), packet))
        heard[sender.ssrc] = (middle, due)
    out.packets += extra
    return signalling, senders


def one_way(_):
    """The callee's audio does not arrive, and the caller's goes on for two seconds after the BYE."""
    out, _ = both(18)
    for _ in range(330):
        out.send()
    return call(4, G729), [out]


CASES = [loss, order, jitter, silence, keys, clocks, sources, rtcp, one_way]


def write(path, frames):
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, data in sorted(frames, key=lambda one: one[0]):
            micros = round((START + time) * 1e6)
            file.write(struct.pack("<IIII", micros // 1000000, micros % 1000000, len(data), len(data)) + data)


def tshark(path, *arguments):
    command = ["tshark", "-r", str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def streams(path):
    """The table of `rtp,streams`, a line per stream."""
    found = []
    for line in tshark(path, "-q", "-z", "rtp,streams").splitlines():
        words = line.split()
        if len(words) < 15 or not words[0][0].isdigit():
            continue
        at = next(index for index, word in enumerate(words) if word.startswith("0x"))
        numbers = [word for word in words[at + 1 :] if word[0] in "-0123456789" and word[-1] in "0123456789"]
        packets, lost, _, _, max_delta, _, mean_jitter, max_jitter = numbers
        found.append(
            {
                "ssrc": int(words[at], 16),
                "source": f"{words[2]}:{words[3]}",
                "destination": f"{words[4]}:{words[5]}",
                "packets": int(packets),
                "lost": int(lost),
                "max_delta_ms": float(max_delta),
                "jitter_ms": float(mean_jitter),
                "max_jitter_ms": float(max_jitter),
            }
        )
    return found


def reports(path):
    """The fields of report blocks, in the order of the packets."""
    fields = ["rtcp.ssrc.identifier", "rtcp.ssrc.fraction", "rtcp.ssrc.cum_nr", "rtcp.ssrc.jitter", "rtcp.roundtrip-delay"]
    arguments = [part for field in fields for part in ("-e", field)]
    options = ["-o", "rtcp.show_roundtrip_calculation:TRUE", "-o", "rtcp.roundtrip_min_threshhold:0"]
    lines = tshark(path, *options, "-Y", "rtcp.ssrc.fraction", "-T", "fields", *arguments).splitlines()
    found = []
    for line in lines:
        ssrc, fraction, lost, jitter, trip = [value.split(",")[0] for value in line.split("\t")]
        found.append(
            {
                "ssrc": int(ssrc, 16),
                "fraction_lost": int(fraction),
                "lost": int(lost),
                "jitter": int(jitter),
                "round_trip_ms": int(trip) if trip else None,
            }
        )
    return found


def main():
    here = pathlib.Path(__file__).parent
    for case in CASES:
        directory = here / case.__name__.replace("_", "-")
        directory.mkdir(exist_ok=True)
        signalling, senders = case(random.Random(case.__name__))
        frames = signalling + [packet for sender in senders for packet in sender.packets]
        write(directory / "input.pcap", frames)
        expected = {"case": case.__doc__, "rtp_streams": streams(directory / "input.pcap")}
        found = reports(directory / "input.pcap")
        if found:
            expected["rtcp_reports"] = found
        (directory / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    version = subprocess.run(["tshark", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    print(version, file=sys.stderr)


main()
