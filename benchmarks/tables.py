"""From a table of 100,000 rows to a data set, against what csv and Pillow need for the same files."""

import csv
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.timing import Row, in_turn, ratios, report
from isi_widget.datasets import from_csv

ROWS = 100_000


def made(folder: Path, images: int) -> tuple[Path, list[Path]]:
    """Return a table of `ROWS` rows and its images, in a folder."""
    folder.mkdir()
    picture = folder / "first.jpg"
    Image.new("RGB", (64, 48), "red").save(picture)
    data = picture.read_bytes()
    files = [folder / f"{number}.jpg" for number in range(images)]
    for file in files:
        file.write_bytes(data)
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer", "context"])
        writer.writerows([f"{i % images}.jpg", f"Is there a star {i}?", i % 2, ""] for i in range(ROWS))
    return table, files


def rows(repeats: int = 3) -> list[Row]:
    found = []
    with tempfile.TemporaryDirectory() as home:
        for images in (1_000, 20_000):
            table, files = made(Path(home) / str(images), images)

            def cells(table: Path = table) -> int:
                with table.open(newline="") as file:
                    return sum(len(row) for row in csv.reader(file))

            def headers(files: list[Path] = files) -> int:
                return sum(Image.open(file).width for file in files)

            ways = {
                "from_csv": lambda table=table: from_csv(table, table.parent),
                "plain": lambda: cells() + headers(),
            }
            times = in_turn(ways, repeats, warm_up=0)
            what = f"from_csv, {ROWS:,} rows, {images:,} images"
            found.append(Row(what, times["from_csv"]))
            found.append(
                Row(f"{what} / csv and Pillow's headers alone", ratios(times, "from_csv", "plain"), "ratio")
            )
    return found


if __name__ == "__main__":
    report(rows())
