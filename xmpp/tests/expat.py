"""The judge of the differential tests: expat with namespaces, with what RFC 6120 (section 11) keeps out of streams banned.

Reads batches from stdin: a count, then so many requests. Answers with so many answers, in order. Numbers are 32 bits,
little-endian; a request or an answer is its length and its bytes. A request begins with one byte that names it:

V            the version of expat
C pre 0 post which code points X make `pre X post` well-formed: one byte for each, 0 or 1 (0 for surrogates)
D document   fields, each ended by NUL: verdict ("accepted" or "rejected"), reason, "text" if the stream holds text
             other than white space directly, "data" if the root is followed by anything but white space, and then what
             was read: "<" namespace name count (namespace name value)... | "T" text | ">"
E document   the same for an element that stands alone: text within the root is read like any other
"""

import struct
import sys

from xml.parsers import expat

# No XML document can hold this character, so no namespace name can.
SEPARATOR = "\x01"
SPACE = " \t\r\n"


class Banned(Exception):
    """Well-formed, but not in a stream."""


class Reading:
    def __init__(self, document, is_stream):
        self.document = document
        self.is_stream = is_stream
        self.pieces = []
        self.text = []
        self.depth = 0
        self.text_in_stream = False
        self.is_over = False
        self.parser = parser = expat.ParserCreate("utf-8", SEPARATOR)
        parser.ordered_attributes = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartCdataSectionHandler = self.character_data
        parser.XmlDeclHandler = self.declaration
        parser.CommentHandler = lambda *_: ban("a comment")
        parser.ProcessingInstructionHandler = lambda *_: ban("a processing instruction")
        parser.StartDoctypeDeclHandler = lambda *_: ban("a document type declaration")
        parser.EntityDeclHandler = lambda *_: ban("an entity declaration")

    def start(self, name, attributes):
        self.flush()
        pairs = sorted(expanded(name) + (value,) for name, value in zip(attributes[::2], attributes[1::2]))
        self.pieces += ("<", *expanded(name), str(len(pairs)))
        for pair in pairs:
            self.pieces += pair
        self.depth += 1

    def end(self, _name):
        self.flush()
        self.pieces.append(">")
        self.depth -= 1
        self.is_over = self.depth == 0

    def characters(self, text):
        if self.depth > 1 or not self.is_stream:
            self.text.append(text)
        elif text.strip(SPACE) or self.document[self.parser.CurrentByteIndex] == ord("&"):
            self.text_in_stream = True

    def character_data(self):
        if self.depth == 1:
            self.text_in_stream = True

    def flush(self):
        if self.text:
            self.pieces += ("T", "".join(self.text))
            self.text.clear()

    def declaration(self, version, encoding, _standalone):
        if version != "1.0":
            ban("version " + version)
        if encoding is not None and encoding.lower() != "utf-8":
            ban("encoding " + encoding)

    def read(self):
        """Gives the verdict and its reason."""
        try:
            end, fault = encoding_fault(self.document)
            self.parser.Parse(self.document[:end], fault is None)
            if fault:
                ban(fault)
        except (Banned, expat.ExpatError) as error:
            return ("accepted" if self.is_over else "rejected"), str(error), "data" if self.is_over else ""
        return "accepted", "", ""


def ban(what):
    raise Banned(what)


def expanded(name):
    namespace, _, local = name.rpartition(SEPARATOR)
    return namespace, local


def encoding_fault(document):
    """Where the document stops being UTF-8 of characters that XML may hold, and why.

    expat would take a byte order mark for one, and a NUL behind the first byte for UTF-16.
    """
    if document.startswith(b"\xef\xbb\xbf"):
        return 0, "a byte order mark"
    try:
        document.decode("utf-8")
        end = len(document)
    except UnicodeDecodeError as error:
        end = error.start
    nul = document.find(b"\0", 0, end)
    if nul >= 0:
        return nul, "a NUL"
    return end, None if end == len(document) else "not UTF-8"


def read(document, is_stream):
    reading = Reading(document, is_stream)
    verdict, reason, data = reading.read()
    fields = [verdict, reason, "text" if reading.text_in_stream else "", data, *reading.pieces, ""]
    return "\0".join(fields).encode("utf-8")


def code_points(request):
    before, after = request.split(b"\0")
    documents = (before + chr(code).encode("utf-8", "surrogatepass") + after for code in range(0x110000))
    return bytes(map(is_well_formed, documents))


def is_well_formed(document):
    try:
        expat.ParserCreate("utf-8", SEPARATOR).Parse(document, True)
        return True
    except expat.ExpatError:
        return False


def answer(request):
    kind, rest = request[:1], request[1:]
    if kind == b"V":
        return expat.EXPAT_VERSION.encode()
    return code_points(rest) if kind == b"C" else read(rest, kind == b"D")


def serve(source, sink):
    number = struct.Struct("<I")
    while head := source.read(number.size):
        requests = [source.read(*number.unpack(source.read(number.size))) for _ in range(*number.unpack(head))]
        for request in requests:
            reply = answer(request)
            sink.write(number.pack(len(reply)) + reply)
        sink.flush()


serve(sys.stdin.buffer, sys.stdout.buffer)
