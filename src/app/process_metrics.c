// SPDX-License-Identifier: Apache-2.0
#include "app/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STATM_BYTES = 256, RESIDENT_FIELD = 1 };

void process_metrics_init(struct process_metrics *process, struct metrics *metrics, const struct clock *clock) {
  process->resident_bytes = metrics_gauge(metrics, "process_resident_memory_bytes", "", "Memory in use.");
  process->cpu_seconds =
      metrics_counter(metrics, "process_cpu_seconds_total", "", "Processor time, user and system, in whole seconds.");
  process->open_fds = metrics_gauge(metrics, "process_open_fds", "", "Open descriptors.");
  process->max_fds = metrics_gauge(metrics, "process_max_fds", "", "Limit of open descriptors.");
  struct metric *start =
      metrics_gauge(metrics, "process_start_time_seconds", "", "Start of the process, in Unix seconds.");
  metric_set(start, clock_wall_us(clock) / US_PER_S);
}

// proc(5): "size resident shared ...", in pages.
static void refresh_memory(const struct process_metrics *process) {
  char text[STATM_BYTES];
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  ssize_t len = read(fd, text, sizeof text);
  (void)close(fd);
  struct str rest = {text, len > 0 ? (size_t)len : 0}, field = STR_EMPTY;
  int64_t pages;
  for (int i = 0; i <= RESIDENT_FIELD; i++)
    if (!str_next(&rest, ' ', &field))
      return;
  if (str_to_i64(field, &pages))
    metric_set(process->resident_bytes, pages * sysconf(_SC_PAGESIZE));
}

static void refresh_processor(const struct process_metrics *process) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0)
    return;
  int64_t us =
      (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  metric_set(process->cpu_seconds, us / US_PER_S);
}

static void refresh_descriptors(const struct process_metrics *process) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    metric_set(process->max_fds, (int64_t)limit.rlim_cur);
  DIR *folder = opendir("/proc/self/fd");
  if (!folder)
    return;
  int64_t count = -1; // the folder's own
  for (const struct dirent *entry; (entry = readdir(folder));)
    count += entry->d_name[0] != '.';
  (void)closedir(folder);
  metric_set(process->open_fds, count);
}

void process_metrics_refresh(const struct process_metrics *process) {
  refresh_memory(process);
  refresh_processor(process);
  refresh_descriptors(process);
}
