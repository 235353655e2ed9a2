// What browsers have and Node 20 lacks.
import WebSocket from 'ws';

Object.assign(globalThis, { WebSocket });
