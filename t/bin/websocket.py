# A WebSocket client: websockets of Python.  The same as websocket.js.
#
#     python3 websocket.py URL MESSAGES PUSHED MILLISECONDS [CA-FILE]

import asyncio
import ssl
import sys

import websockets

URL, MESSAGES, PUSHED, PAUSE, *CA = sys.argv[1:]


def connect(path):
    context = ssl.create_default_context(cafile=CA[0]) if CA else None

    # no time limits: the test has its own

    return websockets.connect(URL + path, ssl=context, open_timeout=None,
                              ping_timeout=None, close_timeout=None)


async def closed(ws, code, reason=''):
    await ws.close(code, reason)

    return ws.close_code


async def echo():
    n = 0

    async with connect('/echo?of=py') as ws:

        async def send():
            for i in range(1, int(MESSAGES) + 1):
                await ws.send(f'message {i}')

        sender = asyncio.create_task(send())

        while n < int(MESSAGES):
            n += 1
            assert await ws.recv() == f'message {n}'

        await sender
        print('echo', n, await closed(ws, 1000))


async def push():
    n = 0

    async with connect(f'/push?n={PUSHED}&ms={PAUSE}') as ws:

        while n < int(PUSHED):
            n += 1
            assert await ws.recv() == str(n)

        print('push', n, await closed(ws, 1000))


async def ping():
    async with connect('/echo?ping') as ws:
        pong = await ws.ping('there?')
        await pong
        print('pong there?', await closed(ws, 1001, 'bye'))


async def main():
    await echo()
    await push()
    await ping()


asyncio.run(main())
