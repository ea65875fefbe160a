/* See module.h. */
#ifndef STAND_IN_FS_H
#define STAND_IN_FS_H
struct file_operations { void *owner; };
#endif
