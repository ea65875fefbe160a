/* Stands for @NAME@.ko of NVIDIA's driver @VERSION@: it bears the name and the version, and drives nothing.
 * Like the real one it has a device, and cannot be unloaded while a program has that open. */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations stand_in_operations = { .owner = THIS_MODULE };
static struct miscdevice stand_in_device = {
	.minor = MISC_DYNAMIC_MINOR, .name = "@DEVICE@", .fops = &stand_in_operations, .mode = 0666,
};

static int __init stand_in_init(void)
{
	pr_info("NVRM: loading NVIDIA UNIX Kernel Module  @VERSION@  (stand-in)\n");
	return misc_register(&stand_in_device);
}

static void __exit stand_in_exit(void)
{
	misc_deregister(&stand_in_device);
}

module_init(stand_in_init);
module_exit(stand_in_exit);
MODULE_DESCRIPTION("stand-in for a kernel module of NVIDIA's driver");
MODULE_LICENSE("@LICENSE@");
MODULE_VERSION("@VERSION@");
