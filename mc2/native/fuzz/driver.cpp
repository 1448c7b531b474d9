// Runs a fuzz target where the compiler has no libFuzzer: on seeded random inputs, not guided by coverage.
// Understands what tests/sanitize.sh says to libFuzzer: files to run once, -max_total_time, -seed, -artifact_prefix.
// There is no corpus to guide it; a directory is ignored.
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

namespace {

constexpr size_t longest = 4096;
constexpr unsigned seconds_per_input = 25;      // sanitizers are slow; nothing is that slow

std::vector<uint8_t> current;
std::string artifact_prefix;

// Called when a sanitizer or an abort ends the run.
void keep_input() {
    const std::string path = artifact_prefix + "crash";
    if (FILE* file = std::fopen(path.c_str(), "wb")) {
        std::fwrite(current.data(), 1, current.size(), file);
        std::fclose(file);
        std::fprintf(stderr, "input kept in %s\n", path.c_str());
    }
}

void run_current() {
    const std::vector<uint8_t> exact(current);      // its memory ends with it: a read past the end is noticed
    ::alarm(seconds_per_input);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    ::alarm(0);
}

class Mutator {
public:
    explicit Mutator(uint64_t seed) : random_(seed) {}

    // A new input, or one of the last ones with a few changes.
    std::vector<uint8_t> next() {
        std::vector<uint8_t> bytes;
        if (kept_.empty() || below(4) == 0) bytes = fresh();
        else change(bytes = kept_[below(kept_.size())]);
        if (kept_.size() < 64) kept_.push_back(bytes);
        else kept_[below(kept_.size())] = bytes;
        return bytes;
    }

private:
    std::mt19937_64 random_;
    std::vector<std::vector<uint8_t>> kept_;

    size_t below(size_t n) { return random_() % n; }
    uint8_t byte() { return static_cast<uint8_t>(random_()); }

    std::vector<uint8_t> fresh() {
        std::vector<uint8_t> bytes(below(below(2) ? 64 : longest));
        for (uint8_t& value : bytes) value = byte();
        return bytes;
    }

    void change(std::vector<uint8_t>& bytes) {
        for (size_t n = 1 + below(6); n > 0; n--) {
            const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1));
            const bool at_end = at == bytes.end();
            switch (below(5)) {
                case 0: if (bytes.size() < longest) bytes.insert(at, byte()); break;
                case 1: if (!at_end) bytes.erase(at); break;
                case 2: if (!at_end) *at = byte(); break;
                case 3: if (!at_end) *at = static_cast<uint8_t>(*at ^ 1 << below(8)); break;
                case 4: bytes.erase(at, bytes.end()); break;
            }
        }
    }
};

}  // namespace

int main(int count, char** arguments) {
    double seconds = 10;
    uint64_t seed = 1;
    std::vector<std::string> files;
    for (int i = 1; i < count; i++) {
        const std::string argument = arguments[i];
        const std::string value = argument.substr(argument.find('=') + 1);
        if (argument.rfind("-max_total_time=", 0) == 0) seconds = std::stod(value);
        else if (argument.rfind("-seed=", 0) == 0) seed = std::stoull(value);
        else if (argument.rfind("-artifact_prefix=", 0) == 0) artifact_prefix = value;
        else if (argument[0] != '-' && !std::filesystem::is_directory(argument)) files.push_back(argument);
    }
    __sanitizer_set_death_callback(keep_input);
    std::signal(SIGALRM, [](int) { std::abort(); });        // an abort ends as a sanitizer's report

    for (const std::string& path : files) {
        std::ifstream file(path, std::ios::binary);
        if (!file) return std::fprintf(stderr, "%s cannot be read.\n", path.c_str()), 2;
        current.assign(std::istreambuf_iterator<char>(file), {});
        run_current();
    }
    if (!files.empty()) return 0;

    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    Mutator mutator(seed);
    size_t n = 0;
    for (; std::chrono::duration<double>(Clock::now() - begin).count() < seconds; n++) {
        current = mutator.next();
        run_current();
    }
    std::fprintf(stderr, "Done %zu inputs with seed %llu\n", n, static_cast<unsigned long long>(seed));
    return 0;
}
