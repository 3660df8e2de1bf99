#!/usr/bin/python3

"""libatls from Python, by ctypes: a request, and its response as it arrives.

    libatls.py --endpoint URL [--ca FILE] [--data TEXT] https://HOST/PATH

The class Client needs only this file and libatls.so.0.  The numbers are those
of atls.h, where they are part of the ABI.
"""

import argparse
import ctypes
import sys

from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int,
                    c_int64, c_long, c_size_t, c_void_p)
from urllib.parse import urlsplit

ENDPOINT, CA_FILE = 0, 1                        # atls_string_e
BODY_NONE, BODY_MEMORY = 0, 1                   # atls_body_e


class Header(Structure):                        # atls_header_t
    _fields_ = [('name', c_char_p), ('value', c_char_p)]


on_status_t = CFUNCTYPE(c_int, c_void_p, c_int, c_char_p)
on_header_t = CFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p)
on_body_t = CFUNCTYPE(c_int, c_void_p, POINTER(ctypes.c_char), c_size_t)
on_wait_t = CFUNCTYPE(c_int, c_void_p)
read_t = CFUNCTYPE(c_long, c_void_p, c_void_p, c_size_t)
rewind_t = CFUNCTYPE(c_int, c_void_p)


class Request(Structure):                       # atls_request_t
    _fields_ = [
        ('method', c_char_p), ('path', c_char_p),
        ('headers', POINTER(Header)), ('nheaders', c_size_t),
        ('body', c_int), ('bytes', c_void_p), ('file', c_void_p),
        ('fd', c_int), ('read', read_t), ('rewind', rewind_t),
        ('length', c_int64),
        ('on_status', on_status_t), ('on_header', on_header_t),
        ('on_body', on_body_t), ('on_wait', on_wait_t),
        ('data', c_void_p),
    ]


lib = ctypes.CDLL('libatls.so.0')

lib.atls_client_create.argtypes = [POINTER(c_void_p), c_char_p]
lib.atls_client_free.argtypes = [c_void_p]
lib.atls_client_free.restype = None
lib.atls_set_string.argtypes = [c_void_p, c_int, c_char_p]
lib.atls_perform.argtypes = [c_void_p, POINTER(Request)]
lib.atls_close.argtypes = [c_void_p]
lib.atls_close.restype = None
lib.atls_error_text.argtypes = [c_void_p]
lib.atls_error_text.restype = c_char_p
lib.atls_strerror.argtypes = [c_int]
lib.atls_strerror.restype = c_char_p


class Error(Exception):
    """An error of libatls; code is that of atls_error_e."""

    def __init__(self, code, text):
        super().__init__(lib.atls_strerror(code).decode()
                         + (': ' + text if text else ''))
        self.code = code


class Client:
    """A client for one service.  It is used by one thread at a time."""

    def __init__(self, target, endpoint=None, ca=None):
        self.handle = c_void_p()
        self.check(lib.atls_client_create(byref(self.handle),
                                          target.encode()))
        self.set(ENDPOINT, endpoint)
        self.set(CA_FILE, ca)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.atls_close(self.handle)             # close_notify, in a POST
        lib.atls_client_free(self.handle)

    def check(self, code):
        if code != 0:
            text = (lib.atls_error_text(self.handle).decode()
                    if self.handle else '')
            raise Error(code, text)

    def set(self, option, value):
        self.check(lib.atls_set_string(self.handle, option,
                                       value.encode() if value else None))

    def request(self, path='/', method=None, headers=(), data=None,
                on_body=None):
        """Returns the status, the headers, and the body in bytes.  With
        on_body, pieces of the body are passed to it instead."""

        status, fields, pieces, failed = [], [], [], []

        # an exception must not pass through C: 1 aborts the request

        def callback(function):
            def call(_, *args):
                try:
                    function(*args)
                    return 0
                except BaseException as e:
                    failed.append(e)
                    return 1
            return call

        take = on_body or pieces.append
        names = (Header * len(headers))(
            *((name.encode(), value.encode()) for name, value in headers))

        # the callbacks must be referenced until atls_perform() returns

        r = Request(
            method=method and method.encode(), path=path.encode(),
            headers=names, nheaders=len(headers),
            on_status=on_status_t(callback(lambda s, _: status.append(s))),
            on_header=on_header_t(callback(
                lambda name, value: fields.append((name.decode('latin-1'),
                                                   value.decode('latin-1'))))),
            on_body=on_body_t(callback(lambda p, n: take(p[:n]))))

        if data is not None:
            r.body, r.length = BODY_MEMORY, len(data)
            r.bytes = ctypes.cast(c_char_p(data), c_void_p)

        code = lib.atls_perform(self.handle, byref(r))

        if failed:
            raise failed[0]

        self.check(code)

        return status[0], fields, b''.join(pieces)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--endpoint')
    parser.add_argument('--ca')
    parser.add_argument('--data')
    parser.add_argument('url')
    args = parser.parse_args()

    url = urlsplit(args.url)
    path = (url.path or '/') + ('?' + url.query if url.query else '')
    data = args.data.encode() if args.data is not None else None

    try:
        with Client(f'{url.scheme}://{url.netloc}', args.endpoint,
                    args.ca) as client:
            status, headers, _ = client.request(
                path, data=data, headers=[('X-From', 'Python')],
                on_body=sys.stdout.buffer.write)
    except Error as e:
        sys.exit(f'libatls.py: {e} ({e.code})')

    sys.stdout.flush()
    print(f'\nstatus {status}, {len(headers)} headers', file=sys.stderr)


if __name__ == '__main__':
    main()
