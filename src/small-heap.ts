/**
 * Imported before anything else. Left alone V8 keeps far more than the program needs, for no gain: its young generation grows to
 * 96 MB under load and stays there, and the old one may grow to four times what lives in it before it is collected. Measured over
 * 100 000 calls at 32 connections, the most ever resident: 390 MB with neither, 307 MB with the first, 248 MB with both.
 */
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--heap-growing-percent=100')
