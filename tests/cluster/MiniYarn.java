import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/** YARN with two node managers in this process, whose configuration is written to the folder that is named; until it is killed. */
public class MiniYarn {
    public static void main(String[] arguments) throws Exception {
        Configuration wanted = new YarnConfiguration();
        wanted.set(
                "yarn.resourcemanager.scheduler.class",
                "org.apache.hadoop.yarn.server.resourcemanager.scheduler.fifo.FifoScheduler");
        wanted.setInt("yarn.scheduler.minimum-allocation-mb", 256);
        wanted.setInt("yarn.nodemanager.resource.memory-mb", 4096);
        wanted.setBoolean("yarn.nodemanager.vmem-check-enabled", false);
        wanted.setBoolean("yarn.nodemanager.pmem-check-enabled", false);
        wanted.setFloat("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", 100f);
        wanted.setInt("yarn.nodemanager.delete.debug-delay-sec", 600);
        MiniYARNCluster cluster = new MiniYARNCluster("yarn", 2, 1, 1);
        cluster.init(wanted);
        cluster.start();
        if (!cluster.waitForNodeManagersToConnect(60_000)) {
            throw new IllegalStateException("the node managers do not connect");
        }
        Configuration running = new Configuration(cluster.getConfig());
        running.set("yarn.application.classpath", "");
        try (OutputStream out = new FileOutputStream(Path.of(arguments[0], "yarn-site.xml").toFile())) {
            running.writeXml(out);
        }
        System.out.println("READY " + running.get("yarn.resourcemanager.address"));
        Thread.sleep(Long.MAX_VALUE);
    }
}
