import java.io.File;
import java.util.ArrayList;
import java.util.List;

/** A service that keeps every message, with -Xmx16m: an uncaught OutOfMemoryError, exit 1. */
public final class Main {
    private static final List<byte[]> MESSAGES = new ArrayList<>();

    public static void main(String[] arguments) throws InterruptedException {
        System.out.println("INFO broker starting, pid " + ProcessHandle.current().pid());
        if (!new File("/etc/broker/limits.properties").exists()) {
            System.out.println("INFO no limits.properties, keeping every message");
        }
        Thread.sleep(400);
        for (int number = 1; number <= 4096; number++) {
            MESSAGES.add(new byte[64 * 1024]);
            if (number % 50 == 0) {
                System.out.println("INFO " + number + " messages");
            }
            Thread.sleep(2);
        }
        System.exit(9);
    }
}
