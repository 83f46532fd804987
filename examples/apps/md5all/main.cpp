// md5all DIR prints the MD5 digest of every regular file under DIR, byte for byte as
//
//   find DIR -type f | xargs md5sum | sort -k2
//
// does, and of names with blanks and quotes, too, which that xargs takes apart (-print0 and -0 cure
// it). Like sort, it orders names by the locale; LC_ALL=C gives the order of bytes.
//
//   walk -> paths -> 2 hashers a processor -> lines -> collect and sort
//
// Both channels are short, so what is on its way takes the same memory in a large tree as in a
// small one. The first error cancels the walk and every hasher, is reported with the file's name,
// and is all that is printed: status 1. Bad use is status 2.
//
// runnel: link: -lcrypto
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <runnel/runnel.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

// Emits what find prints: regular files, following no symbolic link. One directory is open at a
// time, however deep the tree is. Emit returns false to end the walk.
template <class Emit>
void walk(const fs::path& root, const Emit& emit) {
  std::vector<fs::path> directories;
  const auto visit = [&](const fs::path& path, fs::file_type type) {
    if (type == fs::file_type::directory) directories.push_back(path);
    return type != fs::file_type::regular || emit(path);
  };

  const fs::file_type type = fs::symlink_status(root).type();
  if (type == fs::file_type::not_found) {
    throw fs::filesystem_error("stat", root, {ENOENT, std::generic_category()});
  }
  visit(root, type);
  while (!directories.empty()) {
    const fs::path directory = std::move(directories.back());
    directories.pop_back();
    std::error_code failed;
    for (fs::directory_iterator entry(directory), end; entry != end; entry.increment(failed)) {
      if (!visit(entry->path(), entry->symlink_status().type())) return;
    }
    if (failed) throw fs::filesystem_error("readdir", directory, failed);
  }
}

// md5sum's way of keeping a name on one line.
std::string escaped(std::string_view name) {
  std::string result;
  for (char c : name) {
    switch (c) {
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// Digests one file after another, through one buffer.
class hasher {
 public:
  // The line of md5sum for the file. Ends early, by an exception, when ctx ends.
  std::string line(const runnel::context& ctx, const fs::path& file) {
    const std::string name = escaped(file.native());
    const bool changed = name.size() != file.native().size();
    return (changed ? "\\" : "") + digest(ctx, file) + "  " + name;
  }

 private:
  std::string digest(const runnel::context& ctx, const fs::path& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) fail("open", file);
    const runnel::defer close{[&] { ::close(fd); }};

    require(EVP_DigestInit_ex(state_.get(), EVP_md5(), nullptr));
    while (const std::size_t n = read(fd, file)) {
      require(EVP_DigestUpdate(state_.get(), buffer_.data(), n));
      if (ctx.err()) throw std::system_error(ctx.err());
    }
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    require(EVP_DigestFinal_ex(state_.get(), bytes, &size));
    std::string hex;
    for (unsigned char byte : std::span(bytes, size)) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
  }

  std::size_t read(int fd, const fs::path& file) {
    for (;;) {
      const ssize_t n = ::read(fd, buffer_.data(), buffer_.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) fail("read", file);
    }
  }

  [[noreturn]] static void fail(const char* what, const fs::path& file) {
    throw fs::filesystem_error(what, file, {errno, std::generic_category()});
  }

  static void require(int success) {
    if (success != 1) throw std::runtime_error("libcrypto refuses to compute MD5");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> state_{EVP_MD_CTX_new(),
                                                                 &EVP_MD_CTX_free};
  std::vector<unsigned char> buffer_ = std::vector<unsigned char>(128 * 1024);
};

std::vector<std::string> digest_tree(const fs::path& root) {
  const int hashers = 2 * runnel::max_procs();  // one reads while the other computes
  const runnel::chan<fs::path> paths(64);
  const runnel::chan<std::string> lines(64);
  std::atomic<int> at_work = hashers;
  runnel::errgroup group;  // the first exception cancels its context
  const runnel::context ctx = group.ctx();

  group.go([&] {
    const runnel::defer no_more{[&] { paths.close(); }};
    walk(root, [&](const fs::path& file) {
      return runnel::select(runnel::on_send(paths, file), runnel::on_done(ctx)) == 0;
    });
  });
  for (int i = 0; i < hashers; ++i) {
    group.go([&] {
      const runnel::defer last_closes{[&] {
        if (--at_work == 0) lines.close();
      }};
      hasher md5;
      for (const fs::path& file : paths) {
        const auto sent = runnel::select(runnel::on_send(lines, md5.line(ctx, file)),  //
                                         runnel::on_done(ctx));
        if (sent != 0) return;
      }
    });
  }

  std::vector<std::string> result;
  for (std::string&& line : lines) result.push_back(std::move(line));
  group.wait();
  return result;
}

// What sort -k2 compares: all behind the digest, then, where that is a tie, the whole line.
bool sorts_before(const std::string& a, const std::string& b) {
  constexpr std::size_t digest = 32;
  const int names = std::strcoll(a.c_str() + digest + (a[0] == '\\'),  //
                                 b.c_str() + digest + (b[0] == '\\'));
  if (names != 0) return names < 0;
  const int whole = std::strcoll(a.c_str(), b.c_str());
  return whole != 0 ? whole < 0 : a < b;
}

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: md5all DIR\n";
    return 2;
  }
  std::setlocale(LC_COLLATE, "");
  std::vector<std::string> lines = digest_tree(argv[1]);
  std::sort(lines.begin(), lines.end(), sorts_before);
  for (const std::string& line : lines) std::cout << line << '\n';
  if (!std::cout.flush()) throw std::system_error(errno, std::generic_category(), "write");
  return 0;
} catch (const fs::filesystem_error& error) {
  std::cerr << "md5all: " << escaped(error.path1().native()) << ": " << error.code().message()
            << '\n';
  return 1;
} catch (const std::exception& error) {
  std::cerr << "md5all: " << error.what() << '\n';
  return 1;
}
