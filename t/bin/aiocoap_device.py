# A device: TLS of Python, carried to a gateway by aiocoap.  Sends the request
# in a file to localhost, and prints the body of the response.
#
#     python3 aiocoap_device.py coap://127.0.0.1:PORT CA-FILE REQUEST

import asyncio
import re
import ssl
import sys

import aiocoap

URL, CA, REQUEST = sys.argv[1:]


class Device:
    def __init__(self, coap):
        context = ssl.create_default_context(cafile=CA)

        self.coap = coap
        self.path = ['.well-known', 'atls']
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing,
                                    server_hostname='localhost')

    async def send(self, payload, echo):
        request = aiocoap.Message(code=aiocoap.POST, payload=payload,
                                  uri=f'{URL}/{"/".join(self.path)}')
        request.opt.content_format = 65000

        if echo is not None:
            request.opt.echo = echo

        return await self.coap.request(request).response

    # Passes the payload of the response to TLS.

    async def post(self):
        payload = self.outgoing.read()
        response = await self.send(payload, None)

        if response.code == aiocoap.UNAUTHORIZED:
            response = await self.send(payload, response.opt.echo)

        if response.code not in (aiocoap.CREATED, aiocoap.CHANGED):
            sys.exit(f'response: {response.code}')

        self.path = response.opt.location_path or self.path
        self.incoming.write(response.payload)

    # Repeats a step of TLS until it has what it needs.

    async def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self.post()


async def main():
    device = Device(await aiocoap.Context.create_client_context())

    await device.run(device.tls.do_handshake)
    with open(REQUEST, 'rb') as file:
        device.tls.write(file.read())

    response = b''

    while True:
        response += await device.run(lambda: device.tls.read(65536))
        header, _, body = response.partition(b'\r\n\r\n')
        length = re.search(rb'Content-Length: (\d+)', header)

        if len(body) == int(length[1]):
            break

    sys.stdout.buffer.write(body)

    await device.coap.shutdown()


asyncio.run(main())
