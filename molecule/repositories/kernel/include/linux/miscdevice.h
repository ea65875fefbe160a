/* See module.h. */
#ifndef STAND_IN_MISCDEVICE_H
#define STAND_IN_MISCDEVICE_H
#include <linux/fs.h>
#define MISC_DYNAMIC_MINOR 255
struct miscdevice { int minor; const char *name; const struct file_operations *fops; unsigned short mode; };
static inline int misc_register(struct miscdevice *device) { return device->minor - MISC_DYNAMIC_MINOR; }
static inline void misc_deregister(struct miscdevice *device) { device->minor = 0; }
#endif
