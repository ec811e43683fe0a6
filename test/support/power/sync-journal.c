/*
 * Writes down what of a process's files would survive a power failure: preloaded
 * into the process (LD_PRELOAD), it notes every sync with the size the file had
 * before it, and every file made, renamed or removed. What was removed or
 * written over stays reachable by a link beside the journal, so that a test can
 * bring it back.
 *
 *   S <inode> <bytes>            everything up to here is on disk
 *   C <path>                     made, or emptied
 *   U <path> <link>              removed
 *   R <from> <to> <link or ->    renamed, over what the link now names
 *
 * Fields are separated by tabs. The journal is WARREN_SYNC_JOURNAL. Writes need
 * no note: what is beyond the size of the last sync was not synced.
 *
 * With WARREN_TABLE_SYNC_MS the sync of a LevelDB table takes so much longer, as
 * on a slow disk: until it ends two write-ahead logs are in use.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES 8192
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int journal = -1;
static char journal_path[2048];
static atomic_int links;
static useconds_t table_sync_us;

__attribute__((constructor)) static void open_journal(void) {
  const char *path = getenv("WARREN_SYNC_JOURNAL");
  const char *table_sync_ms = getenv("WARREN_TABLE_SYNC_MS");
  if (table_sync_ms != NULL) table_sync_us = (useconds_t)atoi(table_sync_ms) * 1000;
  if (path == NULL || strlen(path) >= sizeof journal_path) return;
  strcpy(journal_path, path);
  journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) {
    perror("sync-journal: the journal can not be opened");
    _exit(70);
  }
}

/* One write per line: the process may be killed between any two. */
static void note(const char *line, int bytes) {
  if (journal < 0) return;
  if (bytes < 0 || bytes >= LINE_BYTES || write(journal, line, (size_t)bytes) != bytes) {
    perror("sync-journal: a line can not be written");
    _exit(70);
  }
}

static int is_table(int fd) {
  char link[64];
  char path[2048];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t bytes = readlink(link, path, sizeof path);
  return bytes > 4 && bytes < (ssize_t)sizeof path && memcmp(path + bytes - 4, ".ldb", 4) == 0;
}

static int sync_and_note(int fd, int (*sync)(int)) {
  struct stat before;
  char line[LINE_BYTES];
  int is_known = fstat(fd, &before) == 0;
  if (table_sync_us > 0 && is_table(fd)) usleep(table_sync_us);
  int result = sync(fd);
  if (result == 0 && is_known) {
    note(line, snprintf(line, sizeof line, "S\t%llu\t%lld\n", (unsigned long long)before.st_ino,
                        (long long)before.st_size));
  }
  return result;
}

/* Writes the name of a new link to `path` into `name`, or "-" when there is no such file. */
static void keep(const char *path, char *name, size_t bytes) {
  snprintf(name, bytes, "%s.%d", journal_path, atomic_fetch_add(&links, 1));
  if (journal < 0 || link(path, name) != 0) snprintf(name, bytes, "-");
}

int fsync(int fd) { return sync_and_note(fd, REAL(fsync)); }

int fdatasync(int fd) { return sync_and_note(fd, REAL(fdatasync)); }

int unlink(const char *path) {
  char name[2100];
  char line[LINE_BYTES];
  keep(path, name, sizeof name);
  int result = REAL(unlink)(path);
  if (result == 0) note(line, snprintf(line, sizeof line, "U\t%s\t%s\n", path, name));
  return result;
}

int rename(const char *from, const char *to) {
  char name[2100];
  char line[LINE_BYTES];
  keep(to, name, sizeof name);
  int result = REAL(rename)(from, to);
  if (result == 0) note(line, snprintf(line, sizeof line, "R\t%s\t%s\t%s\n", from, to, name));
  return result;
}

static void note_made(const char *path, const char *mode) {
  char line[LINE_BYTES];
  if (mode[0] == 'w') note(line, snprintf(line, sizeof line, "C\t%s\n", path));
}

FILE *fopen(const char *path, const char *mode) {
  FILE *file = REAL(fopen)(path, mode);
  if (file != NULL) note_made(path, mode);
  return file;
}

FILE *fopen64(const char *path, const char *mode) {
  FILE *file = REAL(fopen64)(path, mode);
  if (file != NULL) note_made(path, mode);
  return file;
}
