#!/bin/sh
# Installs the programs that `nzip bench` compares with: from Debian's packages (as root), and bsc, kanzi and mcm from
# their sources, built under target/peers with the system's compiler. Prints the line that puts them on the path.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq git g++ make zstd xz-utils brotli bzip3 p7zip-full zpaq libjxl-tools >/dev/null
fi
home=$PWD/target/peers
mkdir -p "$home/bin"
# NAME URL REVISION: fetches a source once.
source() {
    [ -d "$home/$1" ] && return
    git clone --quiet "$2" "$home/$1"
    git -C "$home/$1" -c advice.detachedHead=false checkout --quiet "$3"
}
source libbsc https://github.com/IlyaGrebnov/libbsc v3.3.5
source kanzi https://github.com/flanglet/kanzi-cpp 2.5.3
source mcm https://github.com/mathieuchartier/mcm 1c44c95
make -s -C "$home/libbsc" CC=g++ bsc >/dev/null 2>&1
make -s -C "$home/kanzi/src" kanzi >/dev/null 2>&1
# Written for other compilers: some of its C++ needs leave, and a word.
sed -i 's/f_\.Cost<Acc>/f_.template Cost<Acc>/' "$home/mcm/GD.hpp"
(cd "$home/mcm" && g++ -w -fpermissive -DNDEBUG -O3 -fomit-frame-pointer -msse2 -std=c++11 -D_FILE_OFFSET_BITS=64 \
    '-D__declspec(x)=__attribute__((x))' -Wl,--allow-multiple-definition -o mcm \
    Archive.cpp Compressor.cpp File.cpp Huffman.cpp LZ.cpp MCM.cpp Memory.cpp Tests.cpp Util.cpp -lpthread)
cp "$home/libbsc/bsc" "$home/kanzi/bin/kanzi" "$home/mcm/mcm" "$home/bin/"
echo "PATH=$home/bin:\$PATH"
