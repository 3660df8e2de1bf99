# A device: TLS of Python, carried by libcoap's coap-client to a gateway, with a
# process for each POST.  Requests /exact of localhost, and prints the body of
# the response.
#
#     python3 coap_device.py coap://127.0.0.1:PORT CA-FILE DIRECTORY [OPTION ...]
#     python3 coap_device.py coaps://...

import os
import re
import ssl
import subprocess
import sys

URL, CA, DIRECTORY, *OPTIONS = sys.argv[1:]
TRIES = 3

CLIENT = 'coap-client-' + ('openssl' if URL.startswith('coaps:') else 'notls')


class Device:
    def __init__(self):
        context = ssl.create_default_context(cafile=CA)

        self.path = '.well-known/atls'
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing,
                                    server_hostname='localhost')

    # Passes the payload of the response to TLS.  The POST is sent again, if a
    # message was lost as often as it is sent.

    def post(self):
        names = [os.path.join(DIRECTORY, name) for name in ('in', 'out')]

        with open(names[0], 'wb') as file:
            file.write(self.outgoing.read())

        for _ in range(TRIES):
            log = subprocess.run(
                [CLIENT, '-v', '6', '-m', 'post', '-t', '65000', '-f',
                 names[0], '-o', names[1], *OPTIONS, f'{URL}/{self.path}'],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)

            responses = [line for line in log.stdout.decode(errors='replace')
                         .splitlines() if re.search(r' c:2\.0[14] ', line)]

            if responses:
                break
        else:
            sys.exit(f'no response: {log.stdout}')

        segments = re.findall(r'Location-Path:([^, ]+)', responses[0])

        if segments:
            self.path = '/'.join(segments)

        with open(names[1], 'rb') as file:
            self.incoming.write(file.read())

        os.remove(names[1])

    # Repeats a step of TLS until it has what it needs.

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.post()


device = Device()

device.run(device.tls.do_handshake)
device.tls.write(b'GET /exact HTTP/1.1\r\nHost: localhost\r\n\r\n')

response = b''

while not response.endswith(b'exactly\n'):
    response += device.run(lambda: device.tls.read(65536))

print(response.split(b'\r\n\r\n')[1].decode(), end='')
