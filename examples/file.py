"""Where the phrases of a bundle are in sound files: python file.py BUNDLE FILE..."""

import sys

from wakesmith import audio, load_bundle


def main(folder: str, *paths: str) -> None:
    detector = load_bundle(folder)
    for path in paths:
        stream = detector.another()  # a fresh stream; the model is loaded once
        for hit in [*stream.process(audio.read(path)), *stream.finish()]:
            print(f"{path}  {hit.time_s:.2f} s  {hit.phrase}  {hit.score:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
